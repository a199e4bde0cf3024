"""Prints the scalars of an event directory as JSON, read by TensorBoard's own reader: {tag: [[step, value], ...]}.
Exits 77 when TensorBoard is not installed."""
import json
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    sys.exit(77)

events = EventAccumulator(sys.argv[1]).Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
