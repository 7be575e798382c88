"""Settings as they are in force."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.api.auth import Viewer
from gateway.api.backend import BackendOfApp
from gateway.presentation.setting import as_json, effective_settings

router = APIRouter(prefix="/settings", tags=["settings"])


class SettingFields(BaseModel):
    """One variable."""

    name: str
    value: str | int | float | bool | None = Field(description="Of a secret only ******")
    source: str = Field(description="environment, .env or default")
    description: str


class AllSettings(BaseModel):
    """Every variable, by the settings' own groups."""

    items: list[SettingFields]
    total: int
    next: None = None


@router.get("")
def list_settings(user: Viewer, backend: BackendOfApp) -> AllSettings:
    """What is in force, and where each value comes from; secrets are masked."""
    found = effective_settings(backend.settings, passed_on=True)
    items = [SettingFields.model_validate(as_json(setting)) for setting in found]
    return AllSettings(items=items, total=len(items))
