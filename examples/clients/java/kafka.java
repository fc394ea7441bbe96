import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Passes a record through Kafka, with nothing but the CONFLUENTCLOUD_KAFKA_ settings. */
public class Kafka {
    public static void main(String[] args) throws Exception {
        String word = UUID.randomUUID().toString();
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", System.getenv("CONFLUENTCLOUD_KAFKA_BOOTSTRAPSERVER"),
            "security.protocol", "SASL_SSL",
            "sasl.mechanism", "PLAIN",
            "sasl.jaas.config", System.getenv("CONFLUENTCLOUD_KAFKA_KAFKASASLCONFIG"),
            "enable.idempotence", false,
            "enable.auto.commit", false);
        TopicPartition partition;
        long offset;
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            var placed = producer.send(new ProducerRecord<>("words", word)).get();
            partition = new TopicPartition(placed.topic(), placed.partition());
            offset = placed.offset();
        }
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, offset);
            var records = consumer.poll(Duration.ofSeconds(20));
            if (!records.iterator().next().value().equals(word)) {
                throw new AssertionError("the record is not there");
            }
        }
    }
}
