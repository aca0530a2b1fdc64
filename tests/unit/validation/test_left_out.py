"""What imports leave out, and that nothing else notices."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    """What the code prints in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_a_check_loads_none_of_what_is_left_out():
    code = """
import sys
from tests import rows
from spavl.validation import check, find_suite, load_suite
suite = load_suite(find_suite("training"), rows.row_type("training"))
report = check(rows.to_table("training", rows.good_rows("training")), suite, stage="training", counts=rows.COUNTS.get("training"))
from spavl.validation.gx_import import EXTRAS, PUT_OFF
print(report.num_rows > 0, sorted({*EXTRAS, *PUT_OFF} & sys.modules.keys()))
"""
    assert run(code) == "True []\n"


def test_what_is_put_off_works_when_it_is_used_and_others_import_it_as_ever():
    """The expectation of a Kullback-Leibler divergence needs scipy.stats."""
    code = """
import sys
from spavl.validation.gx_import import great_expectations
gx = great_expectations()
import pandas as pd
from spavl.validation.gx_context import frame_batches
from great_expectations.validator.v1_validator import Validator
from great_expectations.expectations import ExpectColumnKLDivergenceToBeLessThan as KL
frame = pd.DataFrame({"x": ["a", "a", "a", "b"]})
expectation = KL(column="x", partition_object={"values": ["a", "b"], "weights": [0.5, 0.5]}, threshold=1)
print("scipy.stats" in sys.modules)
found = Validator(frame_batches("s"), batch_parameters={"dataframe": frame}).validate_expectation(expectation)
print(f"{found.result['observed_value']:.6f}")
import scipy.stats, altair, sqlalchemy
from scipy import stats
print(type(stats).__name__, type(altair).__name__, stats is sys.modules["scipy.stats"], stats.norm.cdf(0))
"""
    kl = 0.130812  # 3/4 ln(3/2) + 1/4 ln(1/2)
    assert run(code) == f"False\n{kl}\nmodule module True 0.5\n"


@pytest.mark.parametrize("name", ["scipy.stats", "sqlalchemy"])
def test_what_was_loaded_before_is_used_as_it_is(name):
    code = f"""
import sys, {name}
before = sys.modules["{name}"]
from spavl.validation.gx_import import great_expectations
great_expectations()
print(sys.modules["{name}"] is before)
"""
    assert run(code) == "True\n"


def test_another_thread_imports_an_extra_while_it_is_left_out():
    code = """
import threading
from spavl.validation.left_out import left_out
found = []
with left_out(extras=["sqlalchemy"]):
    thread = threading.Thread(target=lambda: found.append(__import__("sqlalchemy").__name__))
    thread.start(); thread.join()
print(found)
"""
    assert run(code) == "['sqlalchemy']\n"


def test_garbage_is_collected_again_after_the_import():
    code = "import gc; from spavl.validation.gx_import import great_expectations; great_expectations(); print(gc.isenabled())"
    assert run(code) == "True\n"


def test_label_issues_are_found_without_the_library_of_an_extra():
    code = """
import sys
from spavl.audit.label_noise import contradicted
right, wrong = [0.95, 0.05], [0.05, 0.95]
print(contradicted([0] * 10 + [1] * 10, __import__("numpy").array([right] * 9 + [wrong] + [wrong] * 10)), "datasets" in sys.modules)
"""
    assert run(code) == f"{[False] * 9 + [True] + [False] * 10} False\n"


def test_a_module_that_an_import_needs_can_not_be_found_only_meanwhile():
    code = """
from spavl.validation.left_out import left_out
with left_out(extras=["colorsys"], put_off=["wave"]):
    try:
        import colorsys
    except ModuleNotFoundError as error:
        print(error.name)
    import wave
    print(type(wave).__name__)
print(wave.open.__module__)
import colorsys, wave as again
print(type(again).__name__, colorsys.__name__)
"""
    assert run(code) == "colorsys\nPutOff\nwave\nmodule colorsys\n"
