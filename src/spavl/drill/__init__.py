"""The product attacks itself: poisons from a catalogue, one at a time, against the user's own expectations.

Reads a night that was honest, runs it again with one poison that enters through a real seam (a model, an image source, a
setting, recorded rows, weights), and says which expectation stopped it, or that it would have been released. Everything
happens in a store of its own, with channels of its own; `release` refuses a run that holds a poisoned model.

The share that is stopped is to expectations what a mutation score is to tests: DeMillo, Lipton and Sayward, "Hints on
Test Data Selection", IEEE Computer 11 (4), 1978.
"""
