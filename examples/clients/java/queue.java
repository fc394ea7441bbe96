import com.azure.storage.queue.QueueClientBuilder;
import java.util.UUID;

/** Passes a message through a queue, with nothing but AZURE_STORAGEQUEUE_CONNECTIONSTRING. */
public class Queue {
    public static void main(String[] args) {
        String word = UUID.randomUUID().toString();
        var queue = new QueueClientBuilder().connectionString(System.getenv("AZURE_STORAGEQUEUE_CONNECTIONSTRING")).queueName("java-" + word).buildClient();
        queue.create();
        queue.sendMessage(word);
        var message = queue.receiveMessage();
        if (!message.getBody().toString().equals(word)) {
            throw new AssertionError("the message is not there");
        }
        queue.deleteMessage(message.getMessageId(), message.getPopReceipt());
        queue.delete();
    }
}
