package gateapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trifid-cloud/trifid/internal/gate"
)

// metrics counts requests. What they are counted by is few: the routes of the
// table and the statuses, so that no guest can make the numbers many.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	watchers prometheus.GaugeFunc

	// by index of the route, the last one for requests without a route
	routes []routeMetrics
}

type routeMetrics struct {
	name    string
	ok      prometheus.Counter // 200, which is what nearly all are
	seconds prometheus.Observer
}

func newMetrics(rs routes, g *gate.Gate) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "trifid", Subsystem: "gate", Name: "requests_total", Help: "Requests of guests, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "trifid", Subsystem: "gate", Name: "request_seconds", Help: "Time to answer requests of guests that do not wait for changes.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 4, 10),
		}, []string{"route"}),
		watchers: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "trifid", Subsystem: "gate", Name: "watchers", Help: "Requests of guests that wait for changes.",
		}, func() float64 { return float64(g.Watchers()) }),
	}
	add := func(name string) {
		m.routes = append(m.routes, routeMetrics{name, m.requests.WithLabelValues(name, "200"), m.seconds.WithLabelValues(name)})
	}
	for _, r := range rs.all {
		add(r.method + " " + r.path)
	}
	add("none")
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.seconds, m.watchers}
}

// count counts a request that was answered.
func (m *metrics) count(q *request, status int, began time.Time) {
	r := &m.routes[len(m.routes)-1]
	if q.route != nil {
		r = &m.routes[q.route.index]
	}
	if status == 200 {
		r.ok.Inc()
	} else {
		m.requests.WithLabelValues(r.name, strconv.Itoa(status)).Inc()
	}
	if !q.waited {
		r.seconds.Observe(time.Since(began).Seconds())
	}
}
