import com.azure.core.util.BinaryData;
import com.azure.storage.blob.BlobServiceClientBuilder;
import java.util.UUID;

/** Keeps a blob, with nothing but AZURE_STORAGEBLOB_CONNECTIONSTRING. */
public class Blob {
    public static void main(String[] args) {
        String word = UUID.randomUUID().toString();
        var container = new BlobServiceClientBuilder().connectionString(System.getenv("AZURE_STORAGEBLOB_CONNECTIONSTRING")).buildClient()
            .createBlobContainer("java-" + word);
        container.getBlobClient("word").upload(BinaryData.fromString(word));
        if (!container.getBlobClient("word").downloadContent().toString().equals(word)) {
            throw new AssertionError("the blob is not there");
        }
        container.delete();
    }
}
