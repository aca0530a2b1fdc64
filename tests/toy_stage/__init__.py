"""Stage `captions`, a toy: a model describes every image in a few words. Test material of `tests/contracts/test_a_new_stage.py`."""
