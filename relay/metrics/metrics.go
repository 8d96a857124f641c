// Package metrics counts what the relay does, for Prometheus. Its labels are configured names and fixed words: no id
// of a chat, a person or a message becomes one. It measures nothing itself; it is told, or asks when it is scraped.
package metrics

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeout bounds what a scrape may ask of the store.
const scrapeTimeout = 2 * time.Second

// seconds are the buckets of every duration: from half a millisecond to a minute, and a day for deliveries after an
// outage.
var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 600, 3600, 86400}

// Registry holds every metric of one process.
type Registry struct {
	registry  *prometheus.Registry
	inbound   *prometheus.CounterVec
	braked    *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	attempt   *prometheus.HistogramVec
	delivered *prometheus.HistogramVec
	sends     *prometheus.CounterVec
	send      *prometheus.HistogramVec
	calls     *prometheus.CounterVec
	call      *prometheus.HistogramVec
	held      *prometheus.HistogramVec
}

// New returns a registry with the process's own metrics in it.
func New(version string) *Registry {
	r := &Registry{
		registry: prometheus.NewRegistry(),
		inbound: counter("imrelay_inbound_messages_total",
			"Messages that IM servers posted, by what became of them.", "im", "result"),
		braked: counter("imrelay_loop_pauses_total",
			"Conversations that were paused because they look like a loop.", "im"),
		attempts: counter("imrelay_delivery_attempts_total",
			"Attempts to deliver an event, by what was decided after them.", "agent", "decision"),
		attempt: histogram("imrelay_delivery_attempt_seconds",
			"How long an attempt took.", "agent"),
		delivered: histogram("imrelay_delivery_seconds",
			"How long an event took from its acceptance to the agent's answer.", "agent"),
		sends: counter("imrelay_outbound_sends_total",
			"Sends to an IM, by their outcome.", "im", "outcome"),
		send: histogram("imrelay_outbound_send_seconds",
			"How long a send took, holding included.", "im"),
		calls: counter("imrelay_outbound_calls_total",
			"Calls to an IM, by their outcome.", "im", "outcome"),
		call: histogram("imrelay_outbound_call_seconds",
			"How long a call to an IM took.", "im"),
		held: histogram("imrelay_outbound_held_seconds",
			"How long a message waited for its place in the limits.", "im"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "imrelay_build_info", Help: "Always 1; the version is the label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	r.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		r.inbound, r.braked, r.attempts, r.attempt, r.delivered, r.sends, r.send, r.calls, r.call, r.held, build,
	)
	return r
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
}

// Handler serves the metrics.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{})
}

// Inbound counts a message.
func (r *Registry) Inbound(account, result string) { r.inbound.WithLabelValues(account, result).Inc() }

// Braked counts a conversation that was paused.
func (r *Registry) Braked(account string) { r.braked.WithLabelValues(account).Inc() }

// Attempt counts an attempt.
func (r *Registry) Attempt(agent, decision string, took time.Duration) {
	r.attempts.WithLabelValues(agent, decision).Inc()
	r.attempt.WithLabelValues(agent).Observe(took.Seconds())
}

// Delivered tells how long an event took.
func (r *Registry) Delivered(agent string, took time.Duration) {
	r.delivered.WithLabelValues(agent).Observe(took.Seconds())
}

// Ended counts a send by how it ended.
func (r *Registry) Ended(account, outcome string, took time.Duration) {
	r.sends.WithLabelValues(account, outcome).Inc()
	r.send.WithLabelValues(account).Observe(took.Seconds())
}

// Called counts a call to an IM.
func (r *Registry) Called(account, outcome string, took time.Duration) {
	r.calls.WithLabelValues(account, outcome).Inc()
	r.call.WithLabelValues(account).Observe(took.Seconds())
}

// Held tells how long a message waited for its place.
func (r *Registry) Held(account string, waited time.Duration) {
	r.held.WithLabelValues(account).Observe(waited.Seconds())
}

// Sample is one value that is asked for when the metrics are scraped.
type Sample struct {
	// Name and Help are the metric's.
	Name, Help string
	// Labels are its labels and their values.
	Labels map[string]string
	Value  float64
}

// Sampled adds gauges that are asked for at every scrape. A failing ask leaves them out.
func (r *Registry) Sampled(ask func(ctx context.Context) ([]Sample, error)) {
	r.registry.MustRegister(sampler(ask))
}

// sampler is a collector that describes nothing ahead of time.
type sampler func(ctx context.Context) ([]Sample, error)

// Describe implements prometheus.Collector: the metrics are known only when they are asked for.
func (sampler) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s sampler) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	samples, err := s(ctx)
	if err != nil {
		return
	}
	for _, x := range samples {
		desc := prometheus.NewDesc(x.Name, x.Help, nil, x.Labels)
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, x.Value)
	}
}
