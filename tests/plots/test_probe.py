from tests.reporting import fixtures
def test_x():
    assert fixtures.EXAMPLES
