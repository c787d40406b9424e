from datetime import datetime
from typing import List, Optional, TypedDict

class SecretsManagerError(Exception):
    """The secret can't be given."""

class SecretValue(TypedDict):
    ARN: str
    Name: str
    VersionId: str
    # Base64 text.
    SecretBinary: Optional[str]
    SecretString: Optional[str]
    VersionStages: List[str]
    CreatedDate: datetime

class Client:
    def __init__(self) -> None: ...
    def get_secret_value(self, *, SecretId: str, VersionStage: str = ...) -> SecretValue: ...
