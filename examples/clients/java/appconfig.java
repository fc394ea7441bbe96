import com.azure.data.appconfiguration.ConfigurationClientBuilder;
import java.util.UUID;

/** Keeps a key-value, with nothing but AZURE_APPCONFIGURATION_CONNECTIONSTRING. */
public class Appconfig {
    public static void main(String[] args) {
        String word = UUID.randomUUID().toString();
        var store = new ConfigurationClientBuilder().connectionString(System.getenv("AZURE_APPCONFIGURATION_CONNECTIONSTRING")).buildClient();
        store.setConfigurationSetting("java-" + word, null, word);
        if (!store.getConfigurationSetting("java-" + word, null).getValue().equals(word)) {
            throw new AssertionError("the key-value is not there");
        }
        store.deleteConfigurationSetting("java-" + word, null);
    }
}
