from gateway.launcher.log import TorchServeLog, WorkerDied

THREAD = "W-9000-my_model-x_1.2"


def feed(log: TorchServeLog, *messages: str, stream: str = "-stdout") -> list[WorkerDied | str | None]:
    return [log.feed(f"INFO\t{THREAD}{stream}\t{message} \n") for message in messages]


def end(log: TorchServeLog) -> WorkerDied | str | None:
    assert feed(log, "Stopped Scanner - x", stream="-stderr") == [None]
    (event,) = feed(log, "Stopped Scanner - x")
    return event


def test_warnings_of_torchserve_are_shown() -> None:
    log = TorchServeLog()
    assert log.feed("WARN\tmain\tFailed to load model: x.mar \n") == "Failed to load model: x.mar"
    assert log.feed("INFO\tmain\tall is well \n") is None
    assert log.feed("Model server started.\n") is None


def test_death_of_a_worker_names_the_first_cause() -> None:
    log = TorchServeLog()
    feed(
        log,
        "[PID]12",
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in <module>',
        "    import gone",
        "ModuleNotFoundError: No module named 'gone'",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        '  File "b.py", line 1',
        "ModuleNotFoundError: No module named 'ts.torch_handler.a'",
    )
    death = end(log)
    assert isinstance(death, WorkerDied)
    assert (death.model, death.version) == ("my_model-x", "1.2")
    assert death.explained
    assert [line.strip() for line in death.last_words.splitlines()] == [
        "Traceback (most recent call last):",
        'File "a.py", line 1, in <module>',
        "import gone",
        "ModuleNotFoundError: No module named 'gone'",
    ]


def test_death_without_a_traceback_shows_the_last_lines() -> None:
    log = TorchServeLog()
    feed(log, *(f"line {number}" for number in range(1000)))
    log.feed(f"ERROR\t{THREAD}\tBackend worker did not respond in given time \n")
    death = end(log)
    assert isinstance(death, WorkerDied)
    assert not death.explained
    assert death.last_words.splitlines()[-1].startswith("Backend worker did not respond")
    assert len(death.last_words.splitlines()) < 20


def test_a_crash_of_native_code_shows_how_it_began() -> None:
    log = TorchServeLog()
    feed(log, "Fatal Python error: Aborted", *(f"  frame {number}" for number in range(100)))
    death = end(log)
    assert isinstance(death, WorkerDied)
    assert death.explained
    assert death.last_words.startswith("Fatal Python error: Aborted")
    assert len(death.last_words.splitlines()) < 20


def test_a_traceback_that_was_cut_off_explains_nothing() -> None:
    log = TorchServeLog()
    feed(log, "Traceback (most recent call last):", '  File "a.py", line 1, in <module>')
    log.feed(f"WARN\t{THREAD}\tLoad model failed: my_model-x, error: Worker died. \n")
    death = end(log)
    assert isinstance(death, WorkerDied)
    assert not death.explained


def test_the_next_life_of_a_worker_starts_afresh() -> None:
    log = TorchServeLog()
    feed(log, "first life")
    end(log)
    feed(log, "second life")
    death = end(log)
    assert isinstance(death, WorkerDied)
    assert death.last_words == "second life"


def test_workers_are_heard_once_they_serve() -> None:
    log = TorchServeLog()
    assert feed(log, "Listening on port") == [None]
    log.verbose = True
    assert feed(log, "a warning") == ["my_model-x:1.2: a warning"]


def test_the_tail_keeps_what_java_says_outside_the_log() -> None:
    log = TorchServeLog()
    log.feed("Error: Could not find or load main class\n")
    assert list(log.tail) == ["Error: Could not find or load main class"]
