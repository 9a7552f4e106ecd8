from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from recsys.bundle import promote, publish
from recsys.workspace import Workspace
from tests.recsys.test_bundle import manifest, two_files
from tests.training.project import config_of
from training import stages
from training.stages import KEPT, Stages, hash_of_file, key_of


@pytest.fixture
def run(tmp_path: Path) -> Stages:
    return Stages(Workspace(tmp_path, config_of()))


def writing(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "result.txt").write_text(text) and None


def must_not_run(folder: Path) -> None:
    raise AssertionError("computed again")


def hidden(run: Stages) -> list[str]:
    return [path.name for path in run.workspace.cache.iterdir() if path.name.startswith(".")]


def test_a_result_is_computed_once_also_for_the_next_process(run, capsys):
    first = run.run("text", ["inputs"], writing("vectors"))
    again = Stages(run.workspace)
    assert again.run("text", ["inputs"], must_not_run) == first
    assert (first / "result.txt").read_text() == "vectors"
    assert again.seconds == run.seconds
    assert "text: nothing has changed, reused" in capsys.readouterr().err


def test_other_inputs_are_computed_anew_and_the_old_result_stays(run):
    first = run.run("text", ["inputs"], writing("old"))
    second = run.run("text", ["other"], writing("new"))
    assert (second / "result.txt").read_text() == "new"
    assert run.run("text", ["inputs"], must_not_run) == first


def test_equal_inputs_of_another_stage_are_another_result(run):
    run.run("ranker", ["inputs"], writing("trees"))
    assert (run.run("ranker_no_text", ["inputs"], writing("others")) / "result.txt").read_text() == "others"


def test_other_code_is_computed_anew(run, monkeypatch):
    run.run("text", ["inputs"], writing("old"))
    monkeypatch.setattr(stages, "code_hash", lambda: "changed")
    assert (run.run("text", ["inputs"], writing("new")) / "result.txt").read_text() == "new"


def test_every_python_file_of_the_engine_counts_as_code(tmp_path, monkeypatch):
    for package in stages.PACKAGES:
        (tmp_path / package / "deeper").mkdir(parents=True)
        (tmp_path / package / "deeper" / "module.py").write_text("one = 1")
    monkeypatch.setattr(stages, "__file__", str(tmp_path / "training" / "stages.py"))
    before = stages.code_hash.__wrapped__()
    for package in stages.PACKAGES:
        (tmp_path / package / "deeper" / "module.py").write_text("one = 2")
        after = stages.code_hash.__wrapped__()
        assert after != before
        before = after


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_build_that_is_cut_short_leaves_no_result_but_what_the_next_one_may_go_on_from(run, error):
    def cut_short(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise error

    def going_on(folder: Path) -> None:
        assert (folder / "half.txt").read_text() == "half"
        (folder / "half.txt").rename(folder / "whole.txt")

    with pytest.raises(error):
        run.run("text", ["inputs"], cut_short)
    assert not [path for path in run.workspace.cache.iterdir() if not path.name.startswith(".")]
    folder = run.run("text", ["inputs"], going_on)
    assert sorted(path.name for path in folder.iterdir()) == ["seconds", "whole.txt"]
    assert hidden(run) == []


def test_what_was_left_by_a_build_of_other_inputs_is_not_gone_on_from(run):
    def cut_short(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run.run("text", ["inputs"], cut_short)
    folder = run.run("text", ["others"], writing("whole"))
    assert sorted(path.name for path in folder.iterdir()) == ["result.txt", "seconds"]


def test_what_a_killed_build_left_goes_when_the_stage_is_next_built_with_whatever_inputs(run):
    leftover = run.workspace.cache / ".text-0123456789abcdef.partial"
    leftover.mkdir(parents=True)
    (leftover / "half.txt").write_text("half")
    run.run("text", ["inputs"], writing("whole"))
    assert hidden(run) == []


def test_only_the_latest_results_of_a_stage_are_kept(run):
    other = run.run("ranker", ["inputs"], writing("trees"))
    built = [run.run("text", [number], writing(str(number))) for number in range(KEPT + 2)]
    assert [folder.exists() for folder in built] == [False] * 2 + [True] * KEPT
    assert other.exists()


def test_the_key_depends_on_every_input():
    assert key_of(["a", 1]) == key_of(["a", 1])
    assert len({key_of(inputs) for inputs in (["a", 1], ["a", 2], ["b", 1], [["a", 1]], "a1")}) == 5


def test_a_file_that_is_not_there_has_no_hash(tmp_path):
    assert hash_of_file(tmp_path / "none") == ""
    (tmp_path / "empty").touch()
    assert hash_of_file(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_what_the_champion_and_the_one_before_were_made_from_stays_however_many_came_since(run):
    bundles = run.workspace.bundles
    made = {}
    for name in ("oldest", "before", "now"):
        made[name] = run.run("text", [name], writing(name))
        said = msgspec.structs.replace(manifest(name), text={"stage": made[name].name})
        publish(bundles, said, two_files)
        promote(bundles, name)
    for number in range(2 * KEPT):
        run.run("text", [number], writing(str(number)))
    assert [made[name].exists() for name in ("oldest", "before", "now")] == [False, True, True]
    (bundles / "now" / "manifest.json").write_text("{")
    run.run("text", ["after"], writing("a champion that cannot be read keeps nobody from training"))
    assert not made["now"].exists()
