package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/s3db-go/replicator/cdc"
)

// mill is Watermill's publisher and subscriber over channels. Its subscribers
// acknowledge every message, and read nothing of it.
type mill struct {
	pubsub  *gochannel.GoChannel
	gauge   *gauge
	change  cdc.Change
	last    atomic.Int64
	running sync.WaitGroup
}

func openWatermill(_ string, fan int, change cdc.Change) (session, error) {
	m := &mill{
		// Without waiting for the acknowledgement, which the gauge does for all.
		pubsub: gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1024}, watermill.NopLogger{}),
		gauge:  newGauge(fan, fanoutWindow), change: change,
	}
	for range fan {
		messages, err := m.pubsub.Subscribe(context.Background(), change.Resource)
		if err != nil {
			return nil, errors.Join(err, m.pubsub.Close())
		}
		m.running.Go(func() {
			for msg := range messages {
				msg.Ack()
				m.gauge.arrived(1)
			}
		})
	}
	return m, nil
}

func (m *mill) do(int) error {
	m.gauge.take()
	id, payload, err := encoded(m.change, m.last.Add(1))
	if err != nil {
		return err
	}
	return m.pubsub.Publish(m.change.Resource, message.NewMessage(id, payload))
}

func (m *mill) drain() { m.gauge.wait() }

func (m *mill) Close() error {
	err := m.pubsub.Close()
	m.running.Wait()
	return err
}

// stream is a Benthos stream with a broker that hands every message to all outputs.
type stream struct {
	push    service.MessageHandlerFunc
	stop    func() error
	gauge   *gauge
	change  cdc.Change
	last    atomic.Int64
	running sync.WaitGroup
	ended   error // why it ran no more; to be read after running
}

func openBenthos(_ string, fan int, change cdc.Change) (session, error) {
	s := &stream{gauge: newGauge(fan, fanoutWindow), change: change}
	env := service.NewEnvironment()
	err := env.RegisterBatchOutput("sink", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			return benthosSink{s.gauge}, service.BatchPolicy{}, fanoutCallers, nil
		})
	if err != nil {
		return nil, err
	}
	builder := env.NewStreamBuilder()
	outputs := "broker:\n  pattern: fan_out\n  outputs:\n" + strings.Repeat("    - sink: {}\n", fan)
	err = errors.Join(builder.SetLoggerYAML("level: none"), builder.SetMetricsYAML("none: {}"), builder.AddOutputYAML(outputs))
	if err != nil {
		return nil, err
	}
	if s.push, err = builder.AddProducerFunc(); err != nil {
		return nil, err
	}
	built, err := builder.Build()
	if err != nil {
		return nil, err
	}
	s.running.Go(func() { s.ended = built.Run(context.Background()) })
	s.stop = func() error { return built.Stop(context.Background()) }
	return s, nil
}

func (s *stream) do(int) error {
	s.gauge.take()
	_, payload, err := encoded(s.change, s.last.Add(1))
	if err != nil {
		return err
	}
	return s.push(context.Background(), service.NewMessage(payload))
}

func (s *stream) drain() { s.gauge.wait() }

func (s *stream) Close() error {
	err := s.stop()
	s.running.Wait()
	if err = errors.Join(err, s.ended); err != nil {
		return fmt.Errorf("benthos: %w", err)
	}
	return nil
}

// benthosSink counts.
type benthosSink struct{ gauge *gauge }

func (benthosSink) Connect(context.Context) error { return nil }

func (s benthosSink) WriteBatch(_ context.Context, batch service.MessageBatch) error {
	s.gauge.arrived(len(batch))
	return nil
}

func (benthosSink) Close(context.Context) error { return nil }
