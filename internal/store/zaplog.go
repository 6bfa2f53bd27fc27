package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"

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
	l = l.With("component", "etcd")
	return zap.New(&zapCore{LevelEnabler: zapcore.WarnLevel, logger: l}, zap.WithFatalHook(lastWords{l}))
}

// lastWords ends the program when etcd cannot go on: it has not written what it
// must, and knows no way back.
type lastWords struct{ logger *slog.Logger }

// OnWrite says what to do about it.
func (w lastWords) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	w.logger.Error(advice(e.Message, fields))
	os.Exit(1)
}

// advice is for whoever finds the program ended.
func advice(msg string, fields []zapcore.Field) string {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && errors.Is(err, syscall.ENOSPC) {
			return "the disk of the data directory is full: make room and start again; what was acknowledged is not lost"
		}
	}
	return "the store cannot write and ends the program (" + msg + "): see to the disk and start again; what was acknowledged is not lost"
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
