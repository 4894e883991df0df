//! Policies, in the order of their stages.
