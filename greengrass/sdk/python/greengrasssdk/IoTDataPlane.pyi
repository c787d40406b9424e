import sys
from typing import BinaryIO, Union

if sys.version_info >= (3, 8):
    from typing import Literal, TypedDict
else:
    from typing_extensions import Literal, TypedDict

class ShadowAnswer(TypedDict):
    payload: bytes

class ShadowError(Exception): ...

class Client:
    def __init__(self) -> None: ...
    def get_thing_shadow(self, *, thingName: str) -> ShadowAnswer: ...
    def update_thing_shadow(self, *, thingName: str, payload: Union[bytes, str, BinaryIO]) -> ShadowAnswer: ...
    def delete_thing_shadow(self, *, thingName: str) -> ShadowAnswer: ...
    def publish(
        self,
        *,
        topic: str,
        payload: Union[bytes, str, BinaryIO] = ...,
        queueFullPolicy: Literal['', 'BestEffort', 'AllOrException'] = ...,
    ) -> None: ...
