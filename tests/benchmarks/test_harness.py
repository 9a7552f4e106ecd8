import json

from benchmarks import harness
from benchmarks.harness import Table, claim, interleaved, print_table, write_result


def test_contestants_take_turns_after_one_run_to_warm_up(monkeypatch):
    clock = iter([0, 1, 1, 4, 10, 12, 20, 25, 30, 39, 40, 41])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(clock))
    order = []
    seconds = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, runs=3)
    assert "".join(order) == "ab" * 4
    # a took 1, 2 and 9 seconds; b 3, 5 and 1
    assert seconds == {"a": 2, "b": 3}


def test_a_result_names_machine_and_commit(tmp_path):
    write_result(tmp_path / "new" / "speed.json", "speed", {"ratio": claim(2.5, 2, "×")}, {"runs": 5})
    result = json.loads((tmp_path / "new" / "speed.json").read_text())
    assert result["bench"] == "speed"
    assert result["claims"] == {"ratio": {"measured": 2.5, "target": 2, "unit": "×"}}
    assert result["details"] == {"runs": 5}
    assert set(result["machine"]) == {"cpu", "cores", "gpu", "system"}
    assert result["commit"]


def test_a_result_holds_its_tables_and_they_are_printed_alike(tmp_path, capsys):
    table = Table("Cost", ("model", "fit s"), [("ease", 2.34567), ("als", 1)])
    write_result(tmp_path / "cost.json", "cost", {}, {}, [table])
    (written,) = json.loads((tmp_path / "cost.json").read_text())["tables"]
    assert written == {"title": "Cost", "columns": ["model", "fit s"], "rows": [["ease", 2.34567], ["als", 1]]}
    print_table(table, {"ratio": claim(2.5, 2, "×")})
    printed = capsys.readouterr().out
    assert [cell.strip() for cell in printed.splitlines()[4].split("│")[1:3]] == ["ease", "2.35"]
    assert printed.endswith("ratio: 2.5 ×, target 2\n")
