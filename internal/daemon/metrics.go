package daemon

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics serves what the parts of a server count, and what its process uses, at
// /metrics in the form of Prometheus.
func metrics(version string, parts ...[]prometheus.Collector) http.Handler {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "trifid", Name: "info", Help: "1, with the version of the program.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.MustRegister(slices.Concat(parts...)...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return mux
}
