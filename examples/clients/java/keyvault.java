import com.azure.identity.ClientSecretCredentialBuilder;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.util.UUID;

/** Keeps a secret in a Key Vault, with nothing but the AZURE_KEYVAULT_ settings. */
public class Keyvault {
    public static void main(String[] args) {
        String word = UUID.randomUUID().toString();
        var credential = new ClientSecretCredentialBuilder()
            .tenantId(System.getenv("AZURE_KEYVAULT_TENANTID"))
            .clientId(System.getenv("AZURE_KEYVAULT_CLIENTID"))
            .clientSecret(System.getenv("AZURE_KEYVAULT_CLIENTSECRET"));
        if (System.getenv("AZURE_AUTHORITY_HOST") != null) {
            credential.authorityHost(System.getenv("AZURE_AUTHORITY_HOST")).disableInstanceDiscovery();
        }
        var vault = new SecretClientBuilder().vaultUrl(System.getenv("AZURE_KEYVAULT_RESOURCEENDPOINT")).credential(credential.build())
            .disableChallengeResourceVerification().buildClient();
        vault.setSecret("java-" + word, word);
        if (!vault.getSecret("java-" + word).getValue().equals(word)) {
            throw new AssertionError("the secret is not there");
        }
    }
}
