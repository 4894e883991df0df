//! A coarse clock per worker, and deadlines that cost a store.
