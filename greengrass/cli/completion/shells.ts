/** The shells that gg can be completed in, and how each takes the script. */
import type { KnownVerb } from './vocabulary.js';

export type ScriptOf = (verbs: readonly KnownVerb[]) => string;

export const SHELLS: Readonly<Record<'bash' | 'zsh' | 'fish', { use: string; script(): Promise<ScriptOf> }>> =
  {
    bash: {
      use: 'for ~/.bashrc: source <(gg completion bash)',
      script: async () => (await import('./bash.js')).bashScript,
    },
    zsh: {
      use: 'for ~/.zshrc, after compinit: source <(gg completion zsh)',
      script: async () => (await import('./zsh.js')).zshScript,
    },
    fish: {
      use: 'for ~/.config/fish/config.fish: gg completion fish | source',
      script: async () => (await import('./fish.js')).fishScript,
    },
  };
