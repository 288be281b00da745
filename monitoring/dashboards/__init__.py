"""Grafana's dashboards, written down as their questions and laid out by code: ``python -m monitoring.dashboards``."""
