"""What is wrong with labelled examples, or with what is asked of them: exit 2 and one clear line on standard error."""

from __future__ import annotations

import numpy as np
import pytest

QUICK = ("--no-gd", "--max-evaluations", 2000)  # what a command that should have been refused costs


def assert_refused(ended, *words):
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("bayesgc: ")
    assert (ended.err.count("\n"), ended.err[-1]) == (1, "\n")
    for word in words:
        assert str(word) in ended.err


def sound() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    train, test = generator.normal(size=(12, 3)), generator.normal(size=(20, 3))
    return {"X": train, "y": np.arange(12) % 2, "X_test": test, "y_test": np.arange(20) % 2}


@pytest.fixture
def data(tmp_path) -> str:
    np.savez(tmp_path / "mine.npz", **sound())
    return "mine.npz"


ONE_TEXT = np.array([["a", "b", "c"]] * 12)
FAULTS = {
    "one class": ({"y": np.ones(12, dtype=int)}, "every label is '1'; there must be at least two classes"),
    "absent from training": ({"y_test": np.arange(20) % 3}, "class 2 is in the test labels and not in the training"),
    "absent from test": ({"y_test": np.zeros(20, dtype=int)}, "class 1 has no test example"),
    "strings": ({"X": ONE_TEXT}, "X is of type <U1; it must hold real numbers"),
    "not a number": ({"X": np.full((12, 3), np.nan)}, "X[0, 0] is nan"),
    "infinite in the test set": ({"X_test": np.full((20, 3), np.inf)}, "X_test[0, 0] is inf"),
    "no label": ({"y": np.where(np.arange(12) == 5, np.nan, 1.0)}, "the label of example 5 is nan"),
    "lengths": ({"y": np.arange(11) % 2}, "y has shape (11,); it must be (12,)"),
    "test lengths": ({"y_test": np.arange(3) % 2}, "y_test has shape (3,); it must be (20,)"),
    "features": ({"X_test": np.ones((20, 4))}, "X_test has examples of shape (4,); those of X are (3,)"),
    "flat": ({"X": np.ones(12)}, "X has shape (12,); it must be (examples, features)"),
    "ragged": ({"X": np.array([np.ones(3), np.ones(4)] * 6, dtype=object)}, "such as images of unequal size"),
    "labels in rows": ({"y": np.zeros((12, 2), dtype=int)}, "y has shape (12, 2); it must be (12,)"),
    "no test label": ({"y_test": np.full(20, np.nan)}, "the label of example 0 is nan"),
    "images of unequal size": ({"X": np.ones((12, 4, 4)), "X_test": np.ones((20, 4, 5))}, "those of X are (4, 4)"),
    "no examples": ({"X": np.ones((0, 3)), "y": np.ones(0)}, "X has shape (0, 3)"),
    "no labels": ({"y": None}, "has no array y"),
    "no test labels": ({"y_test": None}, "has no array y_test"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_examples_that_cannot_be_used(command, tmp_path, fault):
    changes, said = FAULTS[fault]
    arrays = {name: array for name, array in (sound() | changes).items() if array is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    assert_refused(command("infer", "--data", "bad.npz", *QUICK), "bad.npz", said)


@pytest.mark.parametrize(("options", "said"), [
    (["--eps", 0.5], "eps is 0.5; with the fit 'errors' it is the number of training labels that may be wrong"),
    (["--eps", 12], "eps is 12; with the fit 'errors' it is the number of training labels that may be wrong"),
    (["--eps", -1], "eps is '-1'"),
    (["--eps", "5%"], "eps is '5%'; for labelled examples it must be a number"),
    (["--eps", "evidence"], "eps is 'evidence'"),
    (["--fit", "cross-entropy"], "needs a threshold: give --eps, such as --eps 0.35, half the loss of outputs of 0."),
    (["--fit", "squared"], "the fit 'squared' needs a threshold: give --eps, such as --eps 0.5, half"),
    (["--fit", "margin", "--eps", 0], "raise it above 0"),
    (["--fit", "margin", "--eps", 0.3, "--eps-low", 0.3], "eps is 0.3; with a lower end of 0.3 (--eps-low) it must be"),
    (["--fit", "margin", "--eps", 0.3, "--eps-low", 0], "the lower end of eps is 0.0; it must be"),
    (["--eps-low", 0.3], "the fit 'errors' is not a loss, so it takes no lower end"),
    (["--right"], "the fit 'errors' is not a loss"),
    (["--fit", "accuracy"], "fit is 'accuracy'; choose one of errors, cross-entropy"),
    (["--train", 0], "train is 0; it must be a whole number from 1 to 12"),
    (["--train", 13], "train is 13; it must be a whole number from 1 to 12: there are 12 training examples"),
    (["--train", "x"], "--train"),
    (["--test", 21], "test is 21; it must be a whole number from 1 to 20"),
    (["--test", "0%"], "test is '0%'"),
    (["--train", 5, "--balanced"], "train is 5; balanced over 2 classes it must be a multiple of 2"),
    (["--classes", "1"], "classes is '1', which names one class"),
    (["--classes", "0,12"], "classes names '12', which is none of 0, 1"),
    (["--task-seed", 1], "--task-seed chooses examples; say with --train, --test or --classes"),
    (["--target", "y"], "target is a column of a table, as of a .csv"),
    (["--family", "matrix"], "--family matrix is for an array; --data is 'mine.npz', labelled examples: mlp"),
    (["--family", "cnn"], "family is 'cnn'; choose one of matrix, cp, tensor-train, mlp"),
    (["--width", "20,x"], "--width is '20,x'; write whole numbers"),
    (["--width", "20,0"], "--width is '20,0'"),
    (["--depth", 3], "--depth is for a factorisation; an mlp has a --width for each hidden layer"),
    (["--normalize"], "--normalize is for a factorisation"),
    (["--method", "importance"], "labels are not measured so; choose auto, splitting or rejection"),
    (["--method", "nuts"], "--method nuts integrates out a last layer"),
    (["--index"], "--index is for a table, as .csv or .xlsx; --data is 'mine.npz'"),
    (["--rows", 5], "--rows describes a synthetic task"),
])  # fmt: skip
def test_what_cannot_be_asked_of_examples(command, data, options, said):
    assert_refused(command("infer", "--data", data, *options, *QUICK), said)


@pytest.mark.parametrize(("options", "said"), [
    (["--task", "two-moons", "--train", 0], "train is 0; it must be a whole number from 1 to 4999"),
    (["--task", "two-moons", "--train", 5000], "there are 5000 examples, some to test on"),
    (["--task", "two-moons", "--classes", "1"], "names one class"),
    (["--task", "two-moons", "--classes", "0,12"], "classes names '12'"),
    (["--task", "two-moons", "--rank", 2], "--rank is for an array; --task is 'two-moons', labelled examples"),
    (["--task", "two-moons", "--shape", "4x4x4"], "--shape is for an array"),
    (["--task", "two-moons", "--features", 5], "--features is for a teacher; --task is 'two-moons'"),
    (["--task", "two-moons", "--teacher-width", 5], "--teacher-width is for a teacher"),
    (["--task", "two-moons", "--target", "y"], "--target is a column of a table; there is no --data"),
    (["--task", "two-moons", "--method", "nuts"], "--method nuts integrates out a last layer"),
    (["--task", "teacher", "--teacher-width", "a"], "--teacher-width is 'a'; write whole numbers"),
    (["--task", "teacher", "--features", 0], "features is 0; it must be a whole number at least 1"),
    (["--task", "digit"], "task is 'digit'; choose one of sensing, completion, digits"),
    (["--gd-batch", 2], "--gd-batch is for labelled examples; --task is 'sensing'"),
    (["--fit", "errors"], "--fit is for labelled examples; --task is 'sensing'"),
    (["--train", 5], "--train chooses labelled examples"),
    (["--eps-low", 0.1], "--eps-low is for labelled examples; --task is 'sensing'"),
    (["--right"], "--right is for labelled examples"),
    (["--balanced"], "--balanced chooses labelled examples"),
    (["--bias"], "--bias is for labelled examples"),
    (["--family", "mlp"], "--family mlp is for labelled examples; --task is 'sensing'"),
])  # fmt: skip
def test_a_named_task_has_options_of_its_own(command, options, said):
    quick = [part for part in QUICK if options[0] != "--gd-batch" or part != "--no-gd"]
    assert_refused(command("infer", *options, *quick), said)


def test_steps_and_small_starts_are_for_arrays(command, data):
    for option, value in (("--gd-steps", 5), ("--gd-init-scale", 0.1)):
        refused = command("infer", "--data", data, option, value, "--max-evaluations", 2000)
        assert_refused(refused, f"{option} is for an array; --data is 'mine.npz'")
    refused = command("infer", "--data", data, "--gd-optimizer", "group-rmsprop", "--max-evaluations", 2000)
    assert_refused(refused, "gd optimizer is 'group-rmsprop'; choose one of gd, momentum, adam")


def test_a_file_of_an_array_has_no_labels(command, tmp_path):
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "array.npz", A=generator.normal(size=(8, 4, 4)), y=generator.normal(size=8))
    for options, name in ((["--fit", "errors"], "--fit"), (["--train", 3], "--train")):
        said = f"{name} is for labelled examples, and this file holds an array"
        assert_refused(command("infer", "--data", "array.npz", *options, *QUICK), said)
    assert_refused(command("infer", "--data", "array.npz", "--bias", *QUICK), "--bias is for labelled examples")


def test_a_table_of_examples_needs_its_target(command, tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    asked = "--train is for labelled examples; name the column of labels with --target"
    assert_refused(command("infer", "--data", "table.csv", "--train", 1, *QUICK), asked)
    said = "has no column 'c'; its first line names a, b"
    assert_refused(command("infer", "--data", "table.csv", "--target", "c", *QUICK), said)


def test_fractions_are_a_regression(command, tmp_path):
    np.savez(tmp_path / "numbers.npz", X=np.ones((4, 2)), y=np.linspace(0, 1, 4))
    for fit in ("errors", "margin"):
        refused = command("infer", "--data", "numbers.npz", "--fit", fit, *QUICK)
        assert_refused(refused, "this is a regression", f"--fit {fit} is for classes")
    assert_refused(command("infer", "--data", "numbers.npz", "--eps", 0, *QUICK), "raise it above 0")
    assert_refused(command("infer", "--data", "numbers.npz", "--balanced", *QUICK), "these are numbers, a regression")


def test_a_protocol_is_one_of_those_there_are(command, data):
    refused = command("infer", "--data", data, "--gd-protocol", "hein", "--max-evaluations", 2000)
    assert_refused(refused, "gd protocol is 'hein'; choose one of peleg-hein, chiang")
    assert_refused(command("infer", "--data", data, "--gd-protocol", "chiang", *QUICK), "which --no-gd turns off")
    refused = command("infer", "--gd-protocol", "chiang", "--max-evaluations", 2000)
    assert_refused(refused, "--gd-protocol is for labelled examples")


def test_numbers_have_no_labels_that_are_right(command, tmp_path):
    np.savez(tmp_path / "numbers.npz", X=np.ones((4, 2)), y=np.linspace(0, 1, 4))
    refused = command("infer", "--data", "numbers.npz", "--right", "--eps", 0.1, *QUICK)
    assert_refused(refused, "is for classes, and the labels are numbers")
