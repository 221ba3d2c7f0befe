/** Where messages are written: new ones, replies, and edits of old ones. */

import { type FormEvent, type KeyboardEvent, type Ref, useEffect, useLayoutEffect, useRef, useState } from "react";
import { ChatError, type Message, type TimelineItem } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { lineOf } from "../names.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";

export type ComposerMode =
  | { readonly type: "new" }
  | { readonly type: "reply"; readonly seq: number }
  | { readonly type: "edit"; readonly item: TimelineItem };

const DEFAULT_MAX_CHARS = 10_000;

export function Composer({
  ref,
  id,
  text,
  mode,
  quoted,
  onSent,
  onEdited,
}: {
  ref: Ref<HTMLTextAreaElement>;
  /** The conversation whose composer this is: what is typed here goes there, whatever is on screen when. */
  id: string;
  /** The draft. */
  text: string;
  mode: ComposerMode;
  quoted: Message | null;
  onSent: () => void;
  /** An edit was saved or given up. */
  onEdited: () => void;
}) {
  const { client, tell } = useChat();
  const users = useReadable(client.users);
  const { limits } = useReadable(client.connection);
  const [changed, setChanged] = useState<{ readonly key: string; readonly text: string } | null>(null);
  const field = useRef<HTMLTextAreaElement | null>(null);
  const composing = useRef(false);
  const item = mode.type === "edit" ? mode.item : null;
  const edited = item ? (changed?.key === item.key ? changed.text : item.message.body) : "";
  const value = item ? edited : text;
  const replyTo = mode.type === "reply" ? mode.seq : null;
  const maxChars = limits?.max_body_chars ?? DEFAULT_MAX_CHARS;
  const length = value.length > maxChars ? [...value].length : value.length;
  const tooLong = length > maxChars;

  const editedKey = item?.key ?? null;
  useLayoutEffect(() => {
    if (editedKey !== null) field.current?.focus();
  }, [editedKey]);

  useEffect(() => {
    if (matchMedia("(hover: hover)").matches) field.current?.focus(); // a phone's keyboard would cover half the page
  }, []);
  useGrowing(field.current, value);

  const change = (next: string) => {
    if (item) {
      setChanged({ key: item.key, text: next });
      return;
    }
    client.setDraft(id, next, replyTo);
    if (next.trim()) client.typing(id);
    else client.stopTyping(id);
  };
  const cancel = () => {
    setChanged(null);
    if (item) onEdited();
    else if (replyTo !== null) client.setDraft(id, text, null);
  };
  const save = async (edit: TimelineItem) => {
    const body = edited.trim();
    if (body === "" || tooLong) return;
    setChanged(null);
    onEdited();
    if (body === edit.message.body) return;
    try {
      await client.edit(id, edit.seq, body);
    } catch (error) {
      tell(error instanceof ChatError && error.code === "forbidden" ? words.notAllowed : words.actionFailed);
    }
  };
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    if (item) {
      void save(item);
    } else if (text.trim() !== "" && !tooLong) {
      client.send(id, text.trim(), { replyTo });
      onSent();
    }
    field.current?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    // While an input method composes, Enter is its own; Safari says so by the key code only.
    if (composing.current || event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && mode.type !== "new") {
      event.stopPropagation();
      cancel();
    }
  };

  const about =
    mode.type === "edit"
      ? { title: words.editing, text: lineOf(mode.item.message) }
      : mode.type === "reply"
        ? {
            title: words.replyingTo(quoted?.sender ? personOf(users, quoted.sender).name : ""),
            text: quoted ? lineOf(quoted) : words.unknownMessage,
          }
        : null;
  return (
    <form className="composer" onSubmit={submit}>
      {about && (
        <div className="about">
          <Icon name="reply" size={18} />
          <div>
            <strong dir="auto">{about.title}</strong>
            <span dir="auto">{about.text}</span>
          </div>
          <button
            type="button"
            className={item ? "button small" : "icon-button"}
            aria-label={words.cancel}
            onClick={cancel}
          >
            {item ? words.cancel : <Icon name="close" size={18} />}
          </button>
        </div>
      )}
      {tooLong && (
        <p className="problem" role="alert">
          {words.tooLong(length, maxChars)}
        </p>
      )}
      <div className="composer-line">
        <textarea
          ref={(element) => {
            field.current = element;
            if (typeof ref === "function") ref(element);
            else if (ref) ref.current = element;
          }}
          data-composer=""
          aria-label={words.message}
          placeholder={words.message}
          value={value}
          rows={1}
          dir="auto"
          autoComplete="off"
          enterKeyHint="send"
          onChange={(event) => {
            change(event.target.value);
          }}
          onBlur={() => {
            client.stopTyping(id);
          }}
          onCompositionStart={() => {
            composing.current = true;
          }}
          onCompositionEnd={() => {
            composing.current = false;
          }}
          onKeyDown={pressed}
        />
        <button
          type="submit"
          className="button primary send"
          disabled={value.trim() === "" || tooLong}
          onMouseDown={(event) => {
            event.preventDefault(); // the keyboard of a phone stays open
          }}
        >
          <Icon name={item ? "check" : "send"} />
          <span>{item ? words.save : words.send}</span>
        </button>
      </div>
    </form>
  );
}

/** As high as its text, where the style sheet can't say so. */
function useGrowing(field: HTMLTextAreaElement | null, value: string): void {
  useEffect(() => {
    if (!field || CSS.supports("field-sizing", "content")) return;
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  }, [field, value]);
}
