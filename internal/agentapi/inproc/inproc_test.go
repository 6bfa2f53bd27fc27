package inproc

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/linktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	linktest.Run(t, func(_ *testing.T, h agentapi.Handler) agentapi.Connector {
		return New(h, slog.New(slog.DiscardHandler))
	})
}
