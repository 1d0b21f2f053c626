"""From an evidence to a durable record: the queue, the thread that writes, and what happens when it cannot."""
