"""A production service that answers at once with a prediction and attaches the explanation when it is there.

uvicorn --app-dir examples/production app:app --port 8000

POST /predictions             an encoded image as the body; gives the prediction, and where its explanation will be
GET  /explanations/ID         pending, ready or failed, with the method, figures and warnings
GET  /explanations/ID/overlay.png
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from explanations import Explanations, State
from fastapi import FastAPI, HTTPException, Request, Response

from camserve import AsyncExplanationClient, CamserveError
from camserve.errors import InvalidArgumentError, ResourceExhaustedError

SERVER = os.environ.get("CAMSERVE_SERVER", "localhost:50051")
MODEL = os.environ.get("MODEL", "scenes-classifier")
PREDICT_TIMEOUT = 2.0  # seconds: somebody waits for this one


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One channel for the life of the service; explanations under way end with it."""
    async with AsyncExplanationClient(SERVER) as client:
        app.state.client = client
        app.state.explanations = Explanations(client, MODEL)
        yield
        await app.state.explanations.close()


app = FastAPI(title="Predictions with explanations", lifespan=_lifespan)


@app.post("/predictions")
async def predict(request: Request) -> dict[str, Any]:
    """Predicts, and starts the explanation behind the caller's back."""
    image = await request.body()
    try:
        result = await app.state.client.predict(image, model=MODEL, timeout=PREDICT_TIMEOUT)
    except InvalidArgumentError as error:
        raise HTTPException(422, error.message) from error
    except ResourceExhaustedError as error:
        raise HTTPException(503, error.message, {"Retry-After": str(round(error.retry_after or 1))}) from error
    except CamserveError as error:
        raise HTTPException(503, error.message, {"Retry-After": "1"}) from error
    identifier = app.state.explanations.start(image, target=result.prediction.index)
    return {
        "label": result.prediction.label,
        "probability": result.prediction.probability,
        "explanation": f"/explanations/{identifier}",
    }


@app.get("/explanations/{identifier}")
async def explanation(identifier: str) -> dict[str, Any]:
    """Where an explanation stands; a prediction is worth as much without one."""
    entry = _entry(identifier)
    if entry.state is not State.READY:
        return {"state": entry.state, "problem": entry.problem}
    found = entry.explanation
    return {
        "state": entry.state,
        "method": found.method,
        "label": found.target.label,
        "reasons": [reason.name for reason in found.reasons if reason.contribution > 0],
        "warnings": [warning.message for warning in found.warnings],
        "overlay": f"/explanations/{identifier}/overlay.png",
    }


@app.get("/explanations/{identifier}/overlay.png")
async def overlay(identifier: str) -> Response:
    """The map over the image."""
    entry = _entry(identifier)
    if entry.state is not State.READY:
        raise HTTPException(404, f"the explanation is {entry.state}")
    return Response(entry.overlay, media_type="image/png")


def _entry(identifier: str) -> Any:
    entry = app.state.explanations.get(identifier)
    if entry is None:
        raise HTTPException(404, "there is no such explanation, or not any more")
    return entry
