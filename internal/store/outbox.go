package store

import (
	"context"
	"errors"
	"time"
)

// consumeBatch is how many outbox records a consumer gets at once: no more than
// one transaction can delete.
const consumeBatch = maxTxKeys

// OutboxAfter returns the records of a topic with sequences above seq, oldest
// first, at most limit of them.
func (s *State) OutboxAfter(topic string, seq uint64, limit int) []*OutboxRecord {
	var out []*OutboxRecord
	for _, r := range s.topics.From(topicKey(topic, seq+1)) {
		if r.Topic != topic || len(out) == limit {
			break
		}
		out = append(out, r)
	}
	return out
}

// Consume hands the records of a topic to f, in order and at least once, while
// this member leads: those that f returned nil for are deleted. While f fails it
// is called again with the same records, ever less often. A record waits up to
// the time gather for others to go with. Consume returns when ctx ends or the
// store does.
func (s *Store) Consume(ctx context.Context, topic string, gather time.Duration, f func([]*OutboxRecord) error) error {
	return s.Lead(ctx, func(ctx context.Context, _ Term) error {
		delay := s.cfg.retry
		for {
			st, err := s.awaitTopic(ctx, topic)
			if err != nil {
				return err
			}
			records := st.OutboxAfter(topic, 0, consumeBatch)
			if gather > 0 && len(records) < consumeBatch {
				if err := wait(ctx, gather); err != nil {
					return err
				}
				records = s.View().OutboxAfter(topic, 0, consumeBatch)
			}
			if err := f(records); err != nil {
				s.logger.Warn("consuming the outbox failed, trying again", "topic", topic, "records", len(records), "error", err)
				if err := wait(ctx, delay); err != nil {
					return err
				}
				delay = min(2*delay, 30*time.Second)
				continue
			}
			delay = s.cfg.retry
			err = s.Update(ctx, func(tx *Tx) error {
				for _, r := range records {
					tx.DeleteOutbox(r.Seq)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	})
}

// awaitTopic waits for a version with records of the topic.
func (s *Store) awaitTopic(ctx context.Context, topic string) (*State, error) {
	st := s.View()
	feed := s.Subscribe(st)
	for len(st.OutboxAfter(topic, 0, 1)) == 0 {
		c, err := feed.Next(ctx)
		var missed *ResyncError
		switch {
		case errors.As(err, &missed):
			st = missed.State
		case err != nil:
			return nil, err
		default:
			st = c.State
		}
	}
	return st, nil
}
