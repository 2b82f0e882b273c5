"""The four ways in which encoders state the width of a posterior."""

SCALES = ("var", "std", "logvar", "logstd")
