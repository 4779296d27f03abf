"""Integration tests: the real programs against a real Postgres, one idea a file.

Run one from the top of the tree, with the programs' paths in the environment:

    ELECTRIC_PROXY=build/electric-proxy ELECTRIC_TUNNEL=build/electric-tunnel \\
        python3 -m unittest -v tests.integration.test_startup
"""
