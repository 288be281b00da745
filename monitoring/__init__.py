"""Watching camserve: Prometheus, its rules, Grafana's dashboards, and all of it on this machine."""
