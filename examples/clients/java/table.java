import com.azure.data.tables.TableClientBuilder;
import com.azure.data.tables.models.TableEntity;
import java.util.UUID;

/** Keeps an entity, with nothing but AZURE_STORAGETABLE_CONNECTIONSTRING. */
public class Table {
    public static void main(String[] args) {
        String word = UUID.randomUUID().toString();
        var table = new TableClientBuilder().connectionString(System.getenv("AZURE_STORAGETABLE_CONNECTIONSTRING")).tableName("java" + word.replace("-", "")).buildClient();
        table.createTable();
        table.createEntity(new TableEntity("words", word).addProperty("Length", word.length()));
        if (!table.getEntity("words", word).getProperty("Length").equals(word.length())) {
            throw new AssertionError("the entity is not there");
        }
        table.deleteTable();
    }
}
