package store

import (
	"context"
	"errors"
)

func openExternal(ctx context.Context, cfg Config) (commitLog, error) {
	return nil, errors.New("not yet")
}
