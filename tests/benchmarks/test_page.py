import json

from benchmarks.page import PAGE, RESULTS, page

RESULT = {
    "bench": "encode",
    "machine": {"cpu": "AMD EPYC", "cores": 2, "gpu": None, "system": "Linux"},
    "commit": "abc1234",
    "claims": {"fp32_vs_peer": {"measured": 1.4567, "target": 1.3, "unit": "×"}},
    "details": {"threads": 1},
}


def test_every_claim_stands_beside_its_target_and_machine():
    text = page([RESULT])
    assert "## encode\n\nAMD EPYC, 2 cores, 1 thread used, commit abc1234\n" in text
    assert "| fp32_vs_peer | 1.457 | 1.3 | × |\n" in text


def test_a_table_of_a_result_is_one_of_the_page():
    table = {"title": "Cost", "columns": ["model", "fit s"], "rows": [["ease", 2.34567], ["als", ""]]}
    text = page([RESULT | {"tables": [table]}])
    assert text.endswith("| × |\n\nCost\n\n| model | fit s |\n| --- | --- |\n| ease | 2.35 |\n| als |  |\n")


def test_the_page_in_the_repository_is_that_of_the_results():
    assert PAGE.read_text() == page([json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))])
