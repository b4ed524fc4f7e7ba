"""Texts and what they should say."""

from __future__ import annotations

import pytest

from flambeau.testing import FileCheck

RIGHT = {
    "in order": (FileCheck().check("a").check("b"), "a b"),
    "next line": (FileCheck().check("a").check_next("b"), "a ..\n.. b"),
    "same line": (FileCheck().check("a").check_same("b"), "a .. b\n"),
    "any order": (FileCheck().check_dag("x").check_dag("y").check("z"), "y x z"),
    "so many": (FileCheck().check_count("a", 2, exactly=True).check("b"), "aab a"),
    "expression": (FileCheck().check_regex("[xy]+").check("z"), "a xyx z"),
    "absent before the next": (FileCheck().check("a").check_not("b").check("c"), "b a c b"),
    "highlighted": (FileCheck().check_source_highlighted("foo"), "x foo\n  ~~~ <--- HERE"),
}
WRONG = {
    'find "a" but did not': (FileCheck().check("b").check("a"), "a b"),
    'find "b" in the next line but found it 2 lines': (FileCheck().check("a").check_next("b"), "a\n\nb"),
    'find "b" in the same line but found it 1 lines below': (FileCheck().check("a").check_same("b"), "a\nb"),
    'find "y" but did not': (FileCheck().check_dag("x").check("y"), "y x"),
    'find "a" but did not.*\n.*\n.*\nFrom CHECK-COUNT-3': (FileCheck().check_count("a", 3), "aa"),
    'not find "a" but found it\naaa\n  ~ <': (FileCheck().check_count("a", 2, exactly=True), "aaa"),
    'not find "b" but found it\na b c\n  ~ <': (FileCheck().check("a").check_not("b").check("c"), "a b c"),
    'find regex "x[+]" but': (FileCheck().check_regex("x+"), "a"),
    'find "foo" highlighted': (FileCheck().check_source_highlighted("foo"), "foo\n ~~~"),
    "No checks have been added": (FileCheck(), "a"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_text_that_says_it(name):
    check, text = RIGHT[name]
    check.run(text)


@pytest.mark.parametrize("message", WRONG)
def test_a_text_that_does_not(message):
    check, text = WRONG[message]
    with pytest.raises(RuntimeError, match=message):
        check.run(text)


def test_checks_in_the_comments_of_a_file():
    file = "# CHECK: foo\n# CHECK-NEXT: bar\n# CHECK-COUNT-EXACTLY-2: x\n# CHECK-NOT: baz\n"
    FileCheck().run(file, "foo\nbar x x")
    with pytest.raises(RuntimeError, match='not find "x"'):
        FileCheck().run(file, "foo\nbar x x x")
    with pytest.raises(RuntimeError, match='not find "baz"'):
        FileCheck().run(file, "foo\nbar x x baz")
