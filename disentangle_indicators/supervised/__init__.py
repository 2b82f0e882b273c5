"""Supervised disentanglement metrics: functions of codes and ground-truth factors."""
