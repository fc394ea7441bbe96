import java.sql.DriverManager;
import java.util.UUID;

/** Keeps a row in PostgreSQL, with nothing but AZURE_POSTGRESQL_CONNECTIONSTRING. */
public class Postgres {
    public static void main(String[] args) throws Exception {
        String word = UUID.randomUUID().toString();
        try (var db = DriverManager.getConnection(System.getenv("AZURE_POSTGRESQL_CONNECTIONSTRING"))) {
            try (var statement = db.createStatement()) {
                statement.execute("CREATE TABLE IF NOT EXISTS words (word varchar(40))");
            }
            try (var insert = db.prepareStatement("INSERT INTO words VALUES (?)")) {
                insert.setString(1, word);
                insert.executeUpdate();
            }
            try (var query = db.prepareStatement("SELECT word FROM words WHERE word = ?")) {
                query.setString(1, word);
                var rows = query.executeQuery();
                if (!rows.next() || !rows.getString(1).equals(word)) {
                    throw new AssertionError("the row is not there");
                }
            }
        }
    }
}
