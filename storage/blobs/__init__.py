"""Files that people attach, kept under the hash of their content."""

from .contract import Blob, BlobError, BlobNotFound, Blobs, Draft, Swept
from .folder import FolderBlobs

__all__ = ["Blob", "BlobError", "BlobNotFound", "Blobs", "Draft", "FolderBlobs", "Swept"]
