package main

import (
	"encoding/json"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/examples/internal/sink"
)

// places are where the destinations are.
type places struct {
	backup   string
	database string
	queue    sqs.Options
	crm      webhook.Options

	// In place of those that are not named:
	memory   *sink.Tables
	inQueue  *memory.Driver
	receiver *sink.Receiver
}

// fill puts something within the process in the place of what is not named, until stop.
func (at *places) fill() (stop func() error, err error) {
	at.memory, at.inQueue = sink.NewTables(at.database), memory.New(memory.Options{Events: true})
	if at.crm.URL != "" {
		return func() error { return nil }, nil
	}
	if at.receiver, err = sink.NewReceiver(); err != nil {
		return nil, err
	}
	at.crm = webhook.Options{URL: at.receiver.URL, SigningSecrets: []string{at.receiver.Secret}}
	return at.receiver.Close, nil
}

func (at places) tables() replicator.Driver {
	if at.memory != nil {
		return at.memory.Driver()
	}
	return postgres.New(postgres.Options{ConnectionString: at.database})
}

func (at places) events() replicator.Driver {
	if at.queue.QueueURL == "" && at.inQueue != nil {
		return at.inQueue
	}
	return sqs.New(at.queue)
}

func (at places) contacts() replicator.Driver {
	at.crm.Body = webhook.Bare // the CRM's interface takes users, and knows nothing of changes
	return webhook.New(at.crm)
}

// emails are those of the users that the receiver in the CRM's place got.
func (at places) emails() (emails []string, err error) {
	for _, body := range at.receiver.Bodies() {
		var user struct{ Email string }
		if err := json.Unmarshal(body, &user); err != nil {
			return nil, err
		}
		emails = append(emails, user.Email)
	}
	return emails, nil
}
