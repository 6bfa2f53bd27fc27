package daemon

import (
	"context"
	"fmt"
	"net"

	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi"
)

// addAgentListener lets agents of other machines in, if the configuration says
// where.
func (s *server) addAgentListener(ctx context.Context) error {
	if s.Config.Listen.Agents == "" {
		return nil
	}
	ca, err := s.cloud.Authority(ctx)
	if err != nil {
		return fmt.Errorf("the cluster's authority: %w", err)
	}
	if s.agents, err = net.Listen("tcp", s.Config.Listen.Agents); err != nil {
		return listenError("agents", err)
	}
	srv := grpcapi.NewServer(s.life, grpcapi.ServerConfig{CA: ca, Enroller: s.cloud, Logger: s.Log})
	s.addHosts("agents", func(ctx context.Context) error { return srv.Serve(ctx, s.agents) })
	return nil
}
