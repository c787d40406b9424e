import sys
from datetime import datetime
from typing import List, Optional

if sys.version_info >= (3, 8):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict

class Secret(TypedDict):
    ARN: str
    Name: str
    VersionId: str
    SecretBinary: Optional[str]
    SecretString: Optional[str]
    VersionStages: List[str]
    CreatedDate: datetime

class SecretsManagerError(Exception): ...

class Client:
    def __init__(self) -> None: ...
    def get_secret_value(self, *, SecretId: str, VersionId: None = ..., VersionStage: Optional[str] = ...) -> Secret: ...
