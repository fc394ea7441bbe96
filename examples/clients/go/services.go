package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azappconfig"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func kafka(ctx context.Context, word string) error {
	const topic = "words"
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("CONFLUENTCLOUD_KAFKA_BOOTSTRAPSERVER")),
		kgo.Dialer(dialer.DialContext),
		kgo.SASL(plain.Auth{User: os.Getenv("CONFLUENTCLOUD_KAFKA_SASLUSERNAME"), Pass: os.Getenv("CONFLUENTCLOUD_KAFKA_SASLPASSWORD")}.AsMechanism()),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableIdempotentWrite(), kgo.AllowAutoTopicCreation(),
	)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(word)}).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		for _, record := range fetches.Records() {
			if string(record.Value) == word {
				return nil
			}
		}
	}
}

func keyVault(ctx context.Context, word string) error {
	authority := os.Getenv("AZURE_AUTHORITY_HOST")
	options := &azidentity.ClientSecretCredentialOptions{DisableInstanceDiscovery: authority != ""}
	if authority != "" {
		options.ClientOptions = azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: authority}}
	}
	credential, err := azidentity.NewClientSecretCredential(os.Getenv("AZURE_KEYVAULT_TENANTID"), os.Getenv("AZURE_KEYVAULT_CLIENTID"),
		os.Getenv("AZURE_KEYVAULT_CLIENTSECRET"), options)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	client, err := azsecrets.NewClient(os.Getenv("AZURE_KEYVAULT_RESOURCEENDPOINT"), credential, &azsecrets.ClientOptions{DisableChallengeResourceVerification: true})
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if _, err := client.SetSecret(ctx, "go-"+word, azsecrets.SetSecretParameters{Value: &word}, nil); err != nil {
		return fmt.Errorf("set secret: %w", err)
	}
	answer, err := client.GetSecret(ctx, "go-"+word, "", nil)
	if err != nil {
		return fmt.Errorf("get secret: %w", err)
	}
	return want(*answer.Value, word)
}

func appConfig(ctx context.Context, word string) error {
	client, err := azappconfig.NewClientFromConnectionString(os.Getenv("AZURE_APPCONFIGURATION_CONNECTIONSTRING"), nil)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if _, err := client.SetSetting(ctx, "go-"+word, &word, nil); err != nil {
		return fmt.Errorf("set: %w", err)
	}
	answer, err := client.GetSetting(ctx, "go-"+word, nil)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if _, err := client.DeleteSetting(ctx, "go-"+word, nil); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return want(*answer.Value, word)
}
