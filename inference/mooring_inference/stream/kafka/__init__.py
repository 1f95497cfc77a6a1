"""Kafka: a member of a consumer group, a producer, and both in transactions."""
