from typing import IO, Literal, TypedDict, Union

class ShadowError(Exception):
    """The shadow service refused."""

class ShadowAnswer(TypedDict):
    # JSON text.
    payload: bytes

class Client:
    def __init__(self) -> None: ...
    def get_thing_shadow(self, *, thingName: str) -> ShadowAnswer: ...
    def update_thing_shadow(self, *, thingName: str, payload: Union[bytes, str, IO[bytes]]) -> ShadowAnswer: ...
    def delete_thing_shadow(self, *, thingName: str) -> ShadowAnswer: ...
    def publish(
        self,
        *,
        topic: str,
        payload: Union[bytes, str, IO[bytes]] = ...,
        queueFullPolicy: Literal['', 'BestEffort', 'AllOrException'] = ...,
    ) -> None: ...
