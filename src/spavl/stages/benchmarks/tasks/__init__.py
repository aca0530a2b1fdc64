"""The shipped Inspect tasks. These files import Inspect at their top, as Inspect's tasks do; only `resolving` loads them."""
