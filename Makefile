# Each job does all set-up it needs first: see scripts/setup. A second run goes straight to the job.

bin := .venv/bin

.PHONY: demo test lint types docs setup clean

demo: setup  ## the main job on a simulated scan: scores, results, figure, screenshot
	$(bin)/ferro4d demo -o demo-results

test: setup  ## the whole test suite, shared among three processes of one thread each, as windows often wait
	OMP_NUM_THREADS=1 LP_NUM_THREADS=1 $(bin)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint:  ## style of the Python files, and that rooms import only rooms above them
	@scripts/setup lint
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/lint-imports --no-logo

types:  ## static types
	@scripts/setup lint
	$(bin)/mypy

docs:  ## the documentation, in site/
	@scripts/setup docs
	NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --strict

setup:
	@scripts/setup

clean:  ## all that these jobs leave behind
	rm -rf .venv demo-results site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
