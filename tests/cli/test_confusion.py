"""Accuracy and confusions as text, against counts by hand."""

import numpy as np

from minidl.cli.confusion import report


def scores_for(answers, classes):
    """Scores with these best answers; the next class comes second, and so on."""
    return np.array([[-((c - a) % classes) for c in range(classes)] for a in answers], float)


def test_rows_are_the_truth_and_columns_what_the_net_says():
    truth = np.array([0, 0, 0, 2, 2])
    lines = report(scores_for([0, 1, 0, 2, 0], 3), truth, ["cat", "dog", "owl"])
    assert lines == [
        "accuracy 0.6000 (3 of 5)",
        "",
        "    cat dog owl",
        "cat   2   1   0  66.7%",
        "owl   1   0   1  50.0%",  # no dog was shown
    ]


def test_the_best_five_count_where_there_are_more_classes():
    truth = np.array([3, 6, 5])
    lines = report(scores_for([3, 2, 2], 7), truth, list("abcdefg"))
    # of 2 come 2, 3, 4, 5, 6 first: 6 is the fifth of them, and 5 the fourth
    assert lines[0] == "accuracy 0.3333 (1 of 3), among the best five 1.0000"


def test_many_classes_are_listed_with_the_most_frequent_mistakes():
    labels = [f"class {i}" for i in range(30)]
    truth = np.array([4, 4, 4, 7, 7, 8])
    lines = report(scores_for([9, 9, 4, 7, 1, 8], 30), truth, labels)
    assert lines[2:] == [
        "class 4  33.3%",
        "class 7  50.0%",
        "class 8 100.0%",
        "class 4 taken for class 9: 2",
        "class 7 taken for class 1: 1",
    ]


def test_long_names_are_cut():
    lines = report(scores_for([0], 2), np.array([0]), ["a very long name of a class", "b"])
    assert lines[2] == "                 a very long n... b"
