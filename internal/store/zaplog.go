package store

import (
	"context"
	"log/slog"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapCore hands what etcd logs, warnings and worse, to a slog.Logger.
type zapCore struct {
	zapcore.LevelEnabler
	logger *slog.Logger
	fields []zapcore.Field
}

// zapLogger returns the logger etcd gets.
func zapLogger(l *slog.Logger) *zap.Logger {
	return zap.New(&zapCore{LevelEnabler: zapcore.WarnLevel, logger: l.With("component", "etcd")})
}

// With adds fields to everything that follows.
func (c *zapCore) With(fields []zapcore.Field) zapcore.Core {
	return &zapCore{c.LevelEnabler, c.logger, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check takes part in entries of an enabled level.
func (c *zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// expected are the warnings and errors of etcd that belong to every first start
// and every end, or to the choice of having no client listener.
var expected = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
	"Failed to detect schema version":               true,
	"failed to update storage version":              true,
	"setting up serving from embedded etcd failed.": true,
}

// campaign is Raft's remark that its log has changes of members which are not
// applied yet, as it has at every start. It begins with the member's id.
const campaign = "cannot campaign at term"

// Write logs one entry.
func (c *zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	switch {
	case expected[e.Message], strings.Contains(e.Message, campaign):
		level = slog.LevelDebug
	case e.Level >= zapcore.ErrorLevel:
		level = slog.LevelError
	}
	values := zapcore.NewMapObjectEncoder()
	for _, f := range c.fields {
		f.AddTo(values)
	}
	for _, f := range fields {
		f.AddTo(values)
	}
	attrs := make([]slog.Attr, 0, len(values.Fields))
	for k, v := range values.Fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	c.logger.LogAttrs(context.Background(), level, e.Message, attrs...)
	return nil
}

// Sync has nothing to do.
func (c *zapCore) Sync() error { return nil }
