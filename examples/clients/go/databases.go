package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
)

func newWord() string { return uuid.NewString() }

func postgres(ctx context.Context, word string) error {
	return keepRow(ctx, "pgx", os.Getenv("AZURE_POSTGRESQL_CONNECTIONSTRING"), "$1", word)
}

func mySQL(ctx context.Context, word string) error {
	return keepRow(ctx, "mysql", os.Getenv("AZURE_MYSQL_CONNECTIONSTRING"), "?", word)
}

func keepRow(ctx context.Context, driver, dsn, mark, word string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS words (word varchar(40))"); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO words VALUES ("+mark+")", word); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	var got string
	if err := db.QueryRowContext(ctx, "SELECT word FROM words WHERE word = "+mark, word).Scan(&got); err != nil {
		return fmt.Errorf("select: %w", err)
	}
	return want(got, word)
}

func cache(ctx context.Context, word string) error {
	options, err := redis.ParseURL(os.Getenv("AZURE_REDIS_CONNECTIONSTRING"))
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Set(ctx, "word-"+word, word, time.Minute).Err(); err != nil {
		return fmt.Errorf("set: %w", err)
	}
	got, err := client.Get(ctx, "word-"+word).Result()
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	return want(got, word)
}
