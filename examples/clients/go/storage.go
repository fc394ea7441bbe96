package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

func blob(ctx context.Context, word string) error {
	client, err := azblob.NewClientFromConnectionString(os.Getenv("AZURE_STORAGEBLOB_CONNECTIONSTRING"), nil)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	container := "go-" + word
	if _, err := client.CreateContainer(ctx, container, nil); err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	if _, err := client.UploadBuffer(ctx, container, "word", []byte(word), nil); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	answer, err := client.DownloadStream(ctx, container, "word", nil)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	if _, err := client.DeleteContainer(ctx, container, nil); err != nil {
		return fmt.Errorf("delete container: %w", err)
	}
	return want(string(got), word)
}

func queue(ctx context.Context, word string) error {
	service, err := azqueue.NewServiceClientFromConnectionString(os.Getenv("AZURE_STORAGEQUEUE_CONNECTIONSTRING"), nil)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	client := service.NewQueueClient("go-" + word)
	if _, err := client.Create(ctx, nil); err != nil {
		return fmt.Errorf("create queue: %w", err)
	}
	if _, err := client.EnqueueMessage(ctx, word, nil); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	answer, err := client.DequeueMessage(ctx, nil)
	if err != nil || len(answer.Messages) != 1 {
		return fmt.Errorf("receive %d messages: %w", len(answer.Messages), err)
	}
	if _, err := client.Delete(ctx, nil); err != nil {
		return fmt.Errorf("delete queue: %w", err)
	}
	return want(*answer.Messages[0].MessageText, word)
}

// table signs in with the key of an account that the settings name.
func table(ctx context.Context, word string) error {
	service, err := aztables.NewServiceClientFromConnectionString(os.Getenv("AZURE_STORAGETABLE_CONNECTIONSTRING"), nil)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	client := service.NewClient("go" + strings.ReplaceAll(word, "-", ""))
	if _, err := client.CreateTable(ctx, nil); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	entity, err := json.Marshal(map[string]any{"PartitionKey": "words", "RowKey": word, "Length": len(word)})
	if err != nil {
		return fmt.Errorf("make entity: %w", err)
	}
	if _, err := client.AddEntity(ctx, entity, nil); err != nil {
		return fmt.Errorf("add entity: %w", err)
	}
	answer, err := client.GetEntity(ctx, "words", word, nil)
	if err != nil {
		return fmt.Errorf("get entity: %w", err)
	}
	var got struct{ RowKey string }
	if err := json.Unmarshal(answer.Value, &got); err != nil {
		return fmt.Errorf("read entity: %w", err)
	}
	if _, err := client.Delete(ctx, nil); err != nil {
		return fmt.Errorf("delete table: %w", err)
	}
	return want(got.RowKey, word)
}
