import java.net.URI;
import java.util.UUID;
import redis.clients.jedis.Jedis;

/** Keeps a value in Redis, with nothing but AZURE_REDIS_CONNECTIONSTRING. */
public class Redis {
    public static void main(String[] args) {
        String word = UUID.randomUUID().toString();
        try (var cache = new Jedis(URI.create(System.getenv("AZURE_REDIS_CONNECTIONSTRING")))) {
            cache.setex("word-" + word, 60, word);
            if (!word.equals(cache.get("word-" + word))) {
                throw new AssertionError("the value is not there");
            }
        }
    }
}
